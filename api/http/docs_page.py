def render_docs(d):
    return "x"
