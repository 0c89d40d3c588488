"""Archives of tiles that are made on a schedule, where the deployment keeps them."""
