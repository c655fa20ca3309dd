"""Instructions over many rows at once, for kernels only: each has a plain Python twin of the same name, which is what it means.

LLVM does not make them by itself out of a loop: the memory that the rows stand in might overlap, so it would go there for every node.
"""

from __future__ import annotations

from typing import Any, Final

from tercel.base.kernel import COMPILED

LANES: Final = 32  # rows side by side: eight registers of four words, which leaves the others for the node
NODE_FEATURE, NODE_CUT, NODE_KEEP = 0, 1, 2
LANE_NODE_WORDS: Final = 3

if COMPILED:
    from llvmlite import ir
    from numba import types as nt
    from numba.extending import intrinsic

    _POINTER: Final = nt.CPointer(nt.int64)
    _WORD: Final = ir.IntType(64)
    _VECTOR: Final = ir.VectorType(_WORD, LANES)

    def _splat(builder: Any, value: Any) -> Any:
        """The value in every lane."""
        undefined, first = ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        place = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(builder.insert_element(undefined, value, first), undefined, place)

    def _build_leaves(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        """One loop over the nodes with the masks of all lanes in registers."""
        nodes, first, count, keys, at, masks, to = values
        ones, before = ir.Constant(_VECTOR, [-1] * LANES), builder.block
        loop, done = builder.append_basic_block("node"), builder.append_basic_block("done")
        keys = builder.gep(keys, [at])
        builder.branch(loop)
        builder.position_at_end(loop)
        node, left, mask = builder.phi(_WORD), builder.phi(_WORD), builder.phi(_VECTOR)
        feature, cut, keep = (
            builder.load(builder.gep(nodes, [builder.add(node, ir.Constant(_WORD, word))])) for word in (NODE_FEATURE, NODE_CUT, NODE_KEEP)
        )
        row = builder.load(builder.bitcast(builder.gep(keys, [feature]), _VECTOR.as_pointer()), align=8)
        goes_left = builder.sext(builder.icmp_signed(">", _splat(builder, cut), row), _VECTOR)
        kept = builder.and_(mask, builder.or_(goes_left, _splat(builder, keep)))
        following = builder.add(node, ir.Constant(_WORD, LANE_NODE_WORDS))
        remaining = builder.sub(left, ir.Constant(_WORD, 1))
        for phi, start, step in ((node, first, following), (left, count, remaining), (mask, ones, kept)):
            phi.add_incoming(start, before)
            phi.add_incoming(step, loop)
        builder.cbranch(builder.icmp_signed(">", remaining, ir.Constant(_WORD, 0)), loop, done)
        builder.position_at_end(done)
        builder.store(kept, builder.bitcast(builder.gep(masks, [to]), _VECTOR.as_pointer()), align=8)
        return _context.get_dummy_value()

    @intrinsic  # type: ignore[untyped-decorator]
    def leaves_left(typing: Any, Q: Any, first: Any, count: Any, K: Any, at: Any, M: Any, to: Any) -> Any:
        """For each of `LANES` rows the leaves of one tree that its `count` >= 1 nodes leave over, as bits of a word."""
        return nt.void(_POINTER, nt.int64, nt.int64, _POINTER, nt.int64, _POINTER, nt.int64), _build_leaves

    @intrinsic  # type: ignore[untyped-decorator]
    def lowest_bit(typing: Any, word: Any) -> Any:
        """The place of the lowest bit that is set; the word is not 0."""
        return nt.int64(nt.int64), lambda c, b, s, v: b.cttz(v[0], ir.Constant(ir.IntType(1), 1))
else:

    def leaves_left(Q: Any, first: int, count: int, K: Any, at: int, M: Any, to: int) -> None:
        """For each of `LANES` rows the leaves of one tree that its `count` >= 1 nodes leave over, as bits of a word."""
        for lane in range(LANES):
            mask = -1
            for node in range(first, first + count * LANE_NODE_WORDS, LANE_NODE_WORDS):
                if not Q[node + NODE_CUT] > K[at + Q[node + NODE_FEATURE] + lane]:
                    mask &= Q[node + NODE_KEEP]
            M[to + lane] = mask

    def lowest_bit(word: int) -> int:
        """The place of the lowest bit that is set; the word is not 0."""
        return (word & -word).bit_length() - 1
