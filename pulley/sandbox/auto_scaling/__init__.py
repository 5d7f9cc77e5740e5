"""EC2 Auto Scaling's lifecycle hooks, and the events of instances that start and stop."""
