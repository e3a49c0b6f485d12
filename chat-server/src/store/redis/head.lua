-- Where the head of a log is among the fields of its topic, and what it looks like: keys.rs says what it holds. A
-- field's name is UTF-8, so that none begins with the byte 255. Goes before the scripts that need it.
local HEAD, HEAD_FORM = '\255h', '<ddddddddss'
local ENDED, BY, MARK = '\255e', '\255a:', '\255m:'
