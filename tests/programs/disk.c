/* A disk that is ill, for smartd(8), which is itself as Debian packages it: what it asks of the NVMe device
 * (linux/nvme_ioctl.h) is answered here. Preloaded; nothing else changes. */
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/nvme_ioctl.h>

int ioctl(int file, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (request != NVME_IOCTL_ADMIN_CMD)
        return syscall(SYS_ioctl, file, request, argument);
    struct nvme_admin_cmd *command = argument;
    uint8_t *answer = (uint8_t *)(uintptr_t)command->addr;
    memset(answer, 0, command->data_len);
    if (command->opcode == 0x06) /* Identify: serial number, model (NVM Express 1.4, figure 247) */
        memcpy(answer + 4, "SERIAL-1            Test disk", 29);
    else if (command->opcode == 0x02) /* SMART log: critical warning, the spare space is low (figure 194) */
        answer[0] = 1;
    return 0;
}
