"""Steps from one schema to the next. They only expand, so that the release before still runs on the result."""
