//! The limit: UDP with segmentation offload, many messages per call, with and without a cipher.

use std::io::IoSlice;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};

use crate::load::{K, Load, PACKET, SEGMENT};

/// Packets in one message: what the kernel cuts must stay under 64 KiB.
const MOST: usize = 50;
/// What a QUIC packet has beside its payload: header and tag, bytes.
const TAG: usize = 16;

/// Packets of one shard.
pub(crate) fn packets(load: Load) -> usize {
    load.shard().div_ceil(PACKET - TAG)
}

/// Sends shards at the load's pace to `receivers`, and never returns.
///
/// # Errors
/// If the socket fails.
pub(crate) fn send(load: Load, receivers: &[SocketAddr], seal: bool) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket2::SockRef::from(&socket).set_send_buffer_size(4 << 20)?;
    let key = LessSafeKey::new(
        UnboundKey::new(&AES_128_GCM, &[7; 16]).ok().context("a key of 16 bytes")?,
    );
    let packets = packets(load);
    let template = vec![0x5a_u8; packets * PACKET];
    let mut wire = vec![template.clone(); K];
    let to: Vec<SockaddrIn> = receivers
        .iter()
        .filter_map(|at| match at {
            SocketAddr::V4(at) => Some(SockaddrIn::from(*at)),
            SocketAddr::V6(_) => None,
        })
        .collect();
    let size = PACKET as u16;
    let offload = [ControlMessage::UdpGsoSegments(&size)];
    let messages = packets.div_ceil(MOST) * K;
    let mut headers = MultiHeaders::preallocate(messages, Some(nix::cmsg_space!(u16)));
    let mut sequence = 0_u64;
    let mut next = Instant::now();
    loop {
        for to in &to {
            if seal {
                for (packet, plain) in wire
                    .iter_mut()
                    .flat_map(|shard| shard.chunks_exact_mut(PACKET))
                    .zip(std::iter::repeat(&template[..PACKET - TAG]))
                {
                    let mut nonce = [0; 12];
                    nonce[..8].copy_from_slice(&sequence.to_le_bytes());
                    sequence += 1;
                    let (body, tag) = packet.split_at_mut(PACKET - TAG);
                    body.copy_from_slice(plain);
                    let made = key
                        .seal_in_place_separate_tag(
                            Nonce::assume_unique_for_key(nonce),
                            Aad::empty(),
                            body,
                        )
                        .ok()
                        .context("sealing")?;
                    tag.copy_from_slice(made.as_ref());
                }
            }
            let slices: Vec<[IoSlice<'_>; 1]> = wire
                .iter()
                .flat_map(|shard| shard.chunks(MOST * PACKET))
                .map(|part| [IoSlice::new(part)])
                .collect();
            let addresses = vec![Some(*to); slices.len()];
            sendmmsg(
                socket.as_raw_fd(),
                &mut headers,
                &slices,
                &addresses,
                offload,
                MsgFlags::empty(),
            )?;
        }
        next += SEGMENT;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Receives on as many sockets and counts; the counter goes up as long as the program runs.
///
/// # Errors
/// If a socket cannot be bound.
pub(crate) async fn receive(children: usize) -> Result<(Vec<SocketAddr>, Arc<AtomicU64>)> {
    let bytes = Arc::new(AtomicU64::new(0));
    let mut addresses = Vec::new();
    for _ in 0..children {
        let any: SocketAddr = SocketAddrV4::new([127, 0, 0, 1].into(), 0).into();
        let socket = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::DGRAM,
            Some(socket2::Protocol::UDP),
        )?;
        socket.set_recv_buffer_size(4 << 20)?;
        socket.set_nonblocking(true)?;
        socket.bind(&any.into())?;
        // Packets of one message arrive in one piece, as they do at quinn's receivers.
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::UdpGroSegment, &true)?;
        let socket = tokio::net::UdpSocket::from_std(socket.into())?;
        addresses.push(socket.local_addr()?);
        let bytes = bytes.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count) = socket.recv(&mut buffer).await {
                bytes.fetch_add(count as u64, Ordering::Relaxed);
            }
        });
    }
    Ok((addresses, bytes))
}
