"""What a deployment can cost, at list prices."""
