"""One module per figure or table: each a frozen Config and run(config, folder) -> the result that is written as JSON."""
