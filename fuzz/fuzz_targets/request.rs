#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    soma_fuzz::consensus::request(bytes);
});
