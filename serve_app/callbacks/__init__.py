"""What processors tell by themselves: that they have finished an operation."""
