"""The AWS stacks and the Lambda bundle that they deploy."""
