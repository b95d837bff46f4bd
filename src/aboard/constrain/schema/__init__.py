"""JSON Schema: what a schema means, and the grammar of the JSON texts that it accepts.

`document` reads it and resolves references; `meaning` turns its keywords into shapes (what may be,
by type) with the help of `keywords`, `scalars`, `containers` and `formats`; `shapes` can join,
meet and negate them. `array_writer` and `object_writer` make productions of shapes, of which
`productions` strikes out what no value can fill and writes the rest down for llguidance.
"""
