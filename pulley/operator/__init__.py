"""What an operator does to a stage, without a word to anyone: pulley.cli does the talking."""
