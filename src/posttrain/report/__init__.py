"""Reports: a run or a comparison as one HTML page that needs nothing from elsewhere.

``read`` turns folders into records, ``chart`` says what is drawn without saying how, ``svg`` and ``pictures`` draw it.
"""
