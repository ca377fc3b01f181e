"""What the promises about time cost here: figures beside their bounds, never a test that can fail."""
