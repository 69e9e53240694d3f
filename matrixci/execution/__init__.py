"""A cell on its way through all steps: new run, resumed run, reproduction."""
