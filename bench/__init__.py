"""What we hold ourselves to (design section 8), measured against what this machine can physically do."""
