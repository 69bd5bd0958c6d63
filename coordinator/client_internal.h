/* What the client's files share. */
#ifndef CO_CLIENT_INTERNAL_H
#define CO_CLIENT_INTERNAL_H

#include "coordinator/account.h"
#include "wire/message.h"

void co_account_of_wire(const wire_account *a, co_account_report *out);

#endif
