"""`aer-eval report`: one self-contained HTML page, pictures, Markdown and JSON from graded samples.

`results` gathers what is reported, `figures` draws, `tables`, `provenance`, `samples` and `gates` make a section each,
`render` lays them out. `canvas` and `page` are the look, which the training report shares.
Importing the package imports none of them and touches no global matplotlib state.
"""
