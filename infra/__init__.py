"""The AWS stack, and the Lambda bundle that it deploys."""
