"""The app as Lambda and API Gateway run it."""
