"""What runs as many jobs: state machines, their functions, and buckets for what these write."""
