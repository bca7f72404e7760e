"""The parts of a training: phases, schedules, losses, and the published recipes."""
