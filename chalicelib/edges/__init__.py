"""The edges call AWS and GitHub, and write the log. In Lambda only they use boto3 and urllib3."""
