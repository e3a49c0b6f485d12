-- Where a log ends. KEYS: head
return {redis.call('HGET', KEYS[1], 'epoch') or '', redis.call('HGET', KEYS[1], 'top') or '0'}
