"""What decoding needs beside a decoder: what a header tells, colors, depth, the square, and files without their end.

    headers.py     sizes, levels and memory by the header alone
    strips.py      large images piece by piece
    color.py       any mode as RGB on white; profiles as sRGB
    depth.py       which range of deep values becomes 8 bits
    deep_color.py  16 bits of files of which Pillow keeps 8
    repair.py      how many rows of a damaged file are whole, and bytes that decode
    square.py      resizing and cutting

What must stay out: the order of the steps (decoding.py), which formats there are (formats.py).
"""
