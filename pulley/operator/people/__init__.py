"""The IAM policies for people: who may look, who may deploy, who may administer a stage."""
