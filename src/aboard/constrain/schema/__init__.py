"""JSON Schema: what a schema means, and the grammar of the JSON texts that it accepts.

`document` reads it and resolves references, `meaning` turns its keywords into shapes (what may be, by
type), which `shapes` can join, meet and negate; `arrays` and `objects` write shapes as productions,
`productions` strikes out what no value can fill and writes the rest down for llguidance.
"""
