"""From labelled images to batches of tensors."""
