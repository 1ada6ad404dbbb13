"""The least description, to be changed."""

from receiver.providers.described.description import Description, read_description

HEAD = 'name = "one"\nbase_url = "https://one.example"\nheaders = { x-key = "{key}" }\n'
KIND = '[kind]\npattern = "[a-z0-9/-]+"\nexample = "draw"\n'
SUBMIT = '[submit]\npath = "/jobs/{kind}"\nid = "/id"\n'
STATUS = '[status]\npath = "/jobs/{id}"\n'
READ = '[read]\nword = "/state"\nresult = "/result"\n'
WORDS = '[read.words]\nqueued = ["waiting"]\ncompleted = ["done"]\nfailed = ["broken"]\n'


def text(
    *more: str,
    head: str = HEAD,
    kind: str = KIND,
    submit: str = SUBMIT,
    status: str = STATUS,
    read: str = READ,
    words: str = WORDS,
) -> str:
    """A description of these tables; a member can be added to each by adding to its constant."""
    return head + kind + submit + status + read + words + "\n".join(more)


def described(*more: str, **tables: str) -> Description:
    return read_description(text(*more, **tables), "one")
