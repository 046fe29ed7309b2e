"""How large what is posted to a workbench may be; a server asks before it imports what answers."""

PICTURE_PATH = "/api/by-picture"
# A picture comes as base64 in JSON, the one content type that a foreign page cannot post.
MOST_PICTURE_BYTES = 16_000_000
LARGER_BODIES = {PICTURE_PATH: MOST_PICTURE_BYTES * 4 // 3 + 10_000}
