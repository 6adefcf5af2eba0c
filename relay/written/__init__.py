"""Values as operators write them: the kinds that the configuration knows, each parsed from its text.

Pydantic types for the edges of Relay: the file's blocks (`relay.config`) and the keys of a rule (`relay.rules.keys`).
"""
