"""What is sent to the operators of a deployment beside logs and metrics: traces."""
