"""What hosts answer when they are asked by the document."""
