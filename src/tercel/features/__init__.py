"""features owns what a feature is: specification -> program -> opcodes over flat state.

It never knows an order, an account or a process, and an opcode never sees more than its own state and its input columns.
Start in `spec` (what a user writes), then `program` (what runs), then `opcodes` (the arithmetic).
"""
