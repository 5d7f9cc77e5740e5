"""What `pulley doctor` looks at, one link of the chain a module. Looking changes nothing."""
