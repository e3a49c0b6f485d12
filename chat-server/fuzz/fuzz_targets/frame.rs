#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = chat_server::store::redis::parsers::frames(text);
});
