-- Library. The field of a topic that holds the head of its log, and the layout of the head: keys.rs describes both.
-- The name of a field is UTF-8, so none begins with the byte 255.
local HEAD, HEAD_FORM = '\255h', '<ddddddddss'
local ENDED, BY, MARK = '\255e', '\255a:', '\255m:'
