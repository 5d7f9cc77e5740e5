"""Do an operator's work on a stage. Nothing here prints: pulley.cli talks to the operator."""
