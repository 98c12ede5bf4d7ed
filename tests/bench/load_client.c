/* load_client PORT FILE CONNECTIONS IN_FLIGHT: sends OTLP trace requests over plaintext gRPC, as fast as they are answered.
 *
 * FILE holds serialized ExportTraceServiceRequests, each after its length (32 bits, little-endian); each is sent once,
 * with IN_FLIGHT of them unanswered at any time, spread over CONNECTIONS to 127.0.0.1. Prints one line of JSON:
 * requests answered, how many of them with status 0, the seconds from the first byte to the last answer, the
 * percentiles of the time from send to answer, and the client's own CPU seconds.
 *
 * C and not Python because the client must cost less than the server it measures.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PREFIX = 5, MAX_CONNECTIONS = 64, STALLED_AFTER_MS = 30000 };

struct request {
    const uint8_t *body;
    size_t length, written; /* `written` counts the gRPC prefix too */
    uint8_t prefix[PREFIX];
    double sent_at;
    int status; /* -1: no grpc-status seen */
    char message[160];
};

struct connection {
    int socket;
    nghttp2_session *session;
};

static struct {
    const uint8_t *next, *end;
    double *latencies;
    size_t sent, answered, succeeded;
    char first_error[200];
    char authority[32];
} load;

static void fail(const char *what) {
    fprintf(stderr, "load_client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static uint32_t little_endian(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Maps the file and counts its requests; every page is touched here, so that no disk read happens while measuring. */
static size_t open_workload(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status) < 0) fail(path);
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (bytes == MAP_FAILED) fail(path);
    close(file);
    load.next = bytes;
    load.end = load.next + status.st_size;
    size_t count = 0;
    for (const uint8_t *p = load.next; p + 4 <= load.end; p += 4 + little_endian(p)) count++;
    return count;
}

static struct request *next_request(void) {
    if (load.next + 4 > load.end) return NULL;
    struct request *request = calloc(1, sizeof *request);
    if (!request) fail("calloc");
    request->length = little_endian(load.next);
    request->body = load.next + 4;
    request->status = -1;
    load.next += 4 + request->length;
    for (int i = 1; i < PREFIX; i++) request->prefix[i] = (uint8_t)(request->length >> (8 * (4 - i)));
    return request;
}

static size_t copy_part(uint8_t *to, size_t room, const uint8_t *from, size_t size, size_t offset) {
    size_t n = size - offset < room ? size - offset : room;
    memcpy(to, from + offset, n);
    return n;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *user_data) {
    (void)session, (void)stream, (void)user_data;
    struct request *request = source->ptr;
    size_t n = 0;
    if (request->written < PREFIX) {
        n = copy_part(to, room, request->prefix, PREFIX, request->written);
        request->written += n;
    }
    if (request->written >= PREFIX) {
        size_t part = copy_part(to + n, room - n, request->body, request->length, request->written - PREFIX);
        request->written += part;
        n += part;
    }
    if (request->written == request->length + PREFIX) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv header(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void send_next(nghttp2_session *session) {
    struct request *request = next_request();
    if (!request) return;
    nghttp2_nv headers[] = {
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        header(":authority", load.authority),
        header("te", "trailers"),
        header("content-type", "application/grpc"),
    };
    nghttp2_data_provider body = {.source = {.ptr = request}, .read_callback = read_body};
    request->sent_at = now();
    if (nghttp2_submit_request(session, NULL, headers, sizeof headers / sizeof *headers, &body, request) < 0)
        fail("nghttp2_submit_request");
    load.sent++;
}

static int is_header(const char *expected, const uint8_t *name, size_t length) {
    return strlen(expected) == length && !memcmp(expected, name, length);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t value_length, uint8_t flags, void *user_data) {
    (void)flags, (void)user_data;
    struct request *request = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!request) return 0;
    if (is_header("grpc-status", name, name_length)) request->status = atoi((const char *)value);
    if (is_header("grpc-message", name, name_length))
        snprintf(request->message, sizeof request->message, "%.*s", (int)value_length, (const char *)value);
    return 0;
}

static int on_answered(nghttp2_session *session, int32_t stream, uint32_t error, void *user_data) {
    (void)user_data;
    struct request *request = nghttp2_session_get_stream_user_data(session, stream);
    if (!request) return 0;
    load.latencies[load.answered++] = now() - request->sent_at;
    if (request->status == 0) {
        load.succeeded++;
    } else if (!load.first_error[0]) {
        snprintf(load.first_error, sizeof load.first_error, "grpc-status %d, http2 error %u: %s", request->status,
                 error, request->message);
    }
    free(request);
    send_next(session);
    return 0;
}

static ssize_t write_socket(nghttp2_session *session, const uint8_t *bytes, size_t length, int flags,
                            void *user_data) {
    (void)session, (void)flags;
    struct connection *connection = user_data;
    ssize_t n = send(connection->socket, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) return n;
    return errno == EAGAIN ? NGHTTP2_ERR_WOULDBLOCK : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static void open_connection(struct connection *connection, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    int on = 1, buffer = 4 << 20;
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(connection->socket, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);

    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_answered);
    nghttp2_session_callbacks_set_send_callback(callbacks, write_socket);
    nghttp2_session_client_new(&connection->session, callbacks, connection);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, NULL, 0);
}

static void receive(struct connection *connection) {
    uint8_t bytes[1 << 16];
    ssize_t n = recv(connection->socket, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) fail("recv");
    if (n == 0 || nghttp2_session_mem_recv(connection->session, bytes, (size_t)n) < 0) {
        fprintf(stderr, "load_client: the server closed the connection; last error: %s\n", load.first_error);
        exit(1);
    }
}

static void exchange(struct connection *connections, int count) {
    struct pollfd polled[MAX_CONNECTIONS];
    while (load.answered < load.sent) {
        for (int i = 0; i < count; i++) {
            if (nghttp2_session_send(connections[i].session) < 0) fail("nghttp2_session_send");
            short events = POLLIN | (nghttp2_session_want_write(connections[i].session) ? POLLOUT : 0);
            polled[i] = (struct pollfd){.fd = connections[i].socket, .events = events};
        }
        if (poll(polled, (nfds_t)count, STALLED_AFTER_MS) == 0) {
            fprintf(stderr, "load_client: no answer for %d s, %zu of %zu answered\n", STALLED_AFTER_MS / 1000,
                    load.answered, load.sent);
            exit(1);
        }
        for (int i = 0; i < count; i++)
            if (polled[i].revents & (POLLIN | POLLHUP | POLLERR)) receive(&connections[i]);
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(double share) {
    return load.latencies[(size_t)((double)(load.answered - 1) * share)] * 1e3;
}

int main(int argc, char **argv) {
    int port = argc == 5 ? atoi(argv[1]) : 0;
    int count = argc == 5 ? atoi(argv[3]) : 0;
    int in_flight = argc == 5 ? atoi(argv[4]) : 0;
    if (port < 1 || count < 1 || count > MAX_CONNECTIONS || in_flight < count) {
        fprintf(stderr, "usage: load_client PORT FILE CONNECTIONS IN_FLIGHT\n");
        return 2;
    }
    size_t requests = open_workload(argv[2]);
    load.latencies = calloc(requests, sizeof *load.latencies);
    if (!requests || !load.latencies) fail("no requests");
    snprintf(load.authority, sizeof load.authority, "127.0.0.1:%d", port);

    struct connection connections[MAX_CONNECTIONS];
    for (int i = 0; i < count; i++) open_connection(&connections[i], port);
    double cpu_before = cpu_seconds(), started = now();
    for (int i = 0; i < in_flight; i++) send_next(connections[i % count].session);
    exchange(connections, count);
    double seconds = now() - started, cpu = cpu_seconds() - cpu_before;

    qsort(load.latencies, load.answered, sizeof *load.latencies, ascending);
    if (load.first_error[0]) fprintf(stderr, "load_client: first error: %s\n", load.first_error);
    printf("{\"answered\": %zu, \"succeeded\": %zu, \"seconds\": %.6f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"cpu_seconds\": %.3f}\n",
           load.answered, load.succeeded, seconds, percentile_ms(0.50), percentile_ms(0.99), cpu);
    return 0;
}
