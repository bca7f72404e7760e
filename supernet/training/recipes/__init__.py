"""What a training consists of: its phases, schedules, losses, and the published recipes."""
