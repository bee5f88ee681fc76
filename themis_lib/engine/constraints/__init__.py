"""What a text must satisfy."""
