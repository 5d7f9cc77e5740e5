"""Take a stage away: look what there is, plan, remove, and look again."""
