"""One fit for all kinds of model: its settings, its plan, its steps, and the run folder that it leaves."""
