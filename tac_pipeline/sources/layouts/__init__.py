"""Data sets in the layouts in which they are handed out: recognized by their files, and read in place.

    finding.py       which layout a folder has
    rows.py          the source of layouts in which images are rows of a few files
    pickles.py       reads the arrays of a pickle without unpickling
    cifar.py, stl10.py, huggingface.py    layouts of rows
    labeled.py       labels and splits of image files, by their ids
    trees.py, imagenet.py, lists.py, matlab.py, annotations.py, webdataset.py    layouts of image files
    imagenet_subsets.csv, flowers.txt     names and classes that no file of the data set holds

Every layout gives columns by conventional names: label (the finest classes, as names), coarse, and split. What must
stay out: listing folders (sources/folders.py) and decoding.
"""
