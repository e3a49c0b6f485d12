-- Library. The field of a topic that holds the head of its log, and the layout of the head: keys.rs describes both.
-- The name of a field is UTF-8, so none begins with the byte 255.
local HEAD, HEAD_FORM = '\255h', '<ddddddddss'
local ENDED, BY, MARK = '\255e', '\255a:', '\255m:'
-- What retention did: an offset before which only counted entries are left; and how many counted entries there were before
-- the first one that is left, when the log was last examined.
local TRIMMED, TRIMMED_FORM = '\255t', '<dd'
