#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| chat_server::transport::socketio::parsers::auth(text));
