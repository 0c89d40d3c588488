"""What tells the operator: alarms, graphs, a budget."""
