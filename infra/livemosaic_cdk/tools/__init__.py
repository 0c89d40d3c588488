"""What this repository deploys with: its commands, and an emulated AWS; not in the wheel."""
