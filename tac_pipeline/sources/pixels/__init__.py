"""What decoding needs beside a decoder: what a header tells, colors, deep gray, and files without their end.

    headers.py   sizes, levels and memory by the header alone
    color.py     any mode as RGB on white; profiles as sRGB
    depth.py     gray of more than 8 bits as 8 bits
    repair.py    how many rows of a damaged file are whole, and bytes that decode

What must stay out: the order of the steps (decoding.py), which formats there are (formats.py).
"""
