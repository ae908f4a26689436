"""`aer-report`: one self-contained HTML page and PNG figures from the logs of one or several training runs.

`runs` reads run folders, `figures` draws (one function a figure), `html` lays out the page, `cli` is the command.
Importing the package imports none of them and touches no global matplotlib state.
"""
