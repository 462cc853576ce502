"""What a fit maximises: values with their known limits."""
